"""What a training run says of itself while it runs: `/metrics` for Prometheus, and `/`, a page that draws the loss."""
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>Training</title>
<style>body {{ font: 16px system-ui; max-width: 40em; margin: 2em auto }} svg {{ width: 100%; border: 1px solid #ccc }}</style>
<h1>Epoch {epoch} of {epochs}</h1><p>Loss {loss:.6f}, accuracy {accuracy:.1%}, on {device}.
<svg viewBox="0 0 600 200" preserveAspectRatio="none"><polyline fill="none" stroke="#36c" stroke-width="2" points="{points}"/></svg>
<p>The loss of the last {count} epochs, from {highest:.4f} at the top. <a href="/metrics">Metrics</a>"""

METRICS = """# HELP training_info What the training runs on.
# TYPE training_info gauge
training_info{{device="{device}"}} 1
# HELP training_epoch Epochs completed, those of earlier runs among them.
# TYPE training_epoch gauge
training_epoch {epoch}
# HELP training_epochs Epochs wanted.
# TYPE training_epochs gauge
training_epochs {epochs}
# HELP training_loss Mean cross-entropy of the points that were not learned from.
# TYPE training_loss gauge
training_loss {loss}
# HELP training_accuracy Part of those points that is told apart rightly.
# TYPE training_accuracy gauge
training_accuracy {accuracy}
# HELP training_checkpoints_total Checkpoints written by this run.
# TYPE training_checkpoints_total counter
training_checkpoints_total {checkpoints}
"""


class Board:
    """Written by the training, read by whoever asks."""

    def __init__(self, device, epoch, epochs):
        self.values = {"device": device, "epoch": epoch, "epochs": epochs, "loss": float("nan"), "accuracy": float("nan"), "checkpoints": 0}
        self.losses = deque(maxlen=600)
        self.lock = threading.Lock()

    def tell(self, epoch, loss, accuracy):
        with self.lock:
            self.values.update(epoch=epoch, loss=loss, accuracy=accuracy)
            self.losses.append(loss)

    def tell_checkpoint(self):
        with self.lock:
            self.values["checkpoints"] += 1

    def metrics(self):
        with self.lock:
            return METRICS.format(**self.values | {"device": self.values["device"].replace("\\", "\\\\").replace('"', '\\"')})

    def page(self):
        with self.lock:
            losses, values = list(self.losses), dict(self.values)
        highest = max(losses, default=1.0) or 1.0
        points = " ".join(f"{600 * i / max(1, len(losses) - 1):.0f},{200 - 195 * loss / highest:.1f}" for i, loss in enumerate(losses))
        return PAGE.format(**values, points=points, count=len(losses), highest=highest)


def serve(board, port):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers = {"/": ("text/html; charset=utf-8", board.page), "/metrics": ("text/plain; version=0.0.4", board.metrics)}
            kind, text = answers.get(self.path, (None, None))
            if kind is None:
                return self.send_error(404)
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Requests are not worth a line among those of the training."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

"""
Trains a small network to tell two kinds of points apart, and shows what a training in a container needs: the data set and the checkpoints in volumes, metrics on a
port, a device that is found by itself, and a stop that loses nothing.
"""
import argparse
import os
import signal
import sys
from pathlib import Path

import metrics
import numpy as np
from cuda_driver import CudaError
from devices import NoDevice, choose_device
from network import Network, initial_weights, loss_and_accuracy


def read_options():
    parser = argparse.ArgumentParser(description="Trains a small network.", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--epochs", type=int, default=50, help="how often the whole data set is gone through, earlier runs counted")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "torch"], default="auto")
    parser.add_argument("--data", type=Path, default="/data", help="where moons.csv is; made when it is not there")
    parser.add_argument("--checkpoints", type=Path, default="/checkpoints")
    parser.add_argument("--checkpoint-every", type=int, default=10, metavar="EPOCHS")
    parser.add_argument("--fresh", action="store_true", help="start anew where a checkpoint would be continued")
    parser.add_argument("--port", type=int, default=8000, help="of the metrics; 0: none")
    parser.add_argument("--hidden", type=int, default=32, help="size of the network")
    parser.add_argument("--batch", type=int, default=10, help="points learned from in one step")
    parser.add_argument("--rate", type=float, default=0.5, help="how large a step is")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same numbers")
    return parser.parse_args()


def main():
    options = read_options()
    stop = StopRequest()
    try:
        inputs, targets = read_data(options.data)
        run = Run(options, features=inputs.shape[1])
        device, why = choose_device(options.device)
        print(f"device: {device.name}, because {why}", flush=True)
        board = metrics.Board(device.name, run.epoch, options.epochs)
        if options.port != 0:
            metrics.serve(board, options.port)
        train(run, Network(device, run.weights), inputs, targets, board, stop)
    except (Problem, NoDevice, CudaError, OSError) as error:
        sys.exit(f"train.py: {error}")


class Problem(Exception):
    """What the person who started this can mend."""


class StopRequest:
    """`gantry stop` sends SIGTERM, Ctrl-C sends SIGINT: the step in hand is finished, a checkpoint written, and that is a success."""

    def __init__(self):
        self.wanted = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_):
        self.wanted = True


def train(run, network, inputs, targets, board, stop):
    """Every fifth point is kept back, to measure with."""
    kept = np.arange(len(inputs)) % 5 == 0
    measured, learned, answers = inputs[kept], inputs[~kept], targets[~kept]
    epochs, batch = run.options.epochs, run.options.batch
    told_every = max(1, epochs // 10)

    while run.epoch < epochs and not stop.wanted:
        order = np.random.default_rng([run.options.seed, run.epoch]).permutation(len(learned))
        while run.row < len(order) and not stop.wanted:
            rows = order[run.row : run.row + batch]
            network.learn(learned[rows], answers[rows], run.options.rate)
            run.row += batch
        if run.row < len(order):
            break
        run.epoch, run.row = run.epoch + 1, 0
        loss, accuracy = loss_and_accuracy(network.logits(measured), targets[kept])
        board.tell(run.epoch, loss, accuracy)
        if run.epoch % told_every == 0 or run.epoch == epochs:
            print(f"epoch {run.epoch}/{epochs}: loss {loss:.6f}, accuracy {accuracy:.1%}", flush=True)
        if run.epoch % run.options.checkpoint_every == 0:
            run.save(network)
            board.tell_checkpoint()

    run.save(network)
    if run.epoch < epochs:
        print(f"stopped in epoch {run.epoch + 1} of {epochs}; {run.file} continues it", flush=True)
    else:
        loss, accuracy = loss_and_accuracy(network.logits(measured), targets[kept])
        print(f"trained {run.epoch} epochs: loss {loss:.6f}, accuracy {accuracy:.1%}; the network is in {run.file}", flush=True)


class Run:
    """Where the training is: what a checkpoint holds."""

    def __init__(self, options, features):
        self.options = options
        self.file = options.checkpoints / "last.npz"
        self.epoch, self.row = 0, 0  # the next row of the epoch's order
        # What the numbers depend on: another one would not be the same training any more.
        self.settings = {"features": features, "hidden": options.hidden, "batch": options.batch, "seed": options.seed}
        self.weights = initial_weights(features, options.hidden, options.seed)
        if self.file.exists() and not options.fresh:
            self._resume()

    def _resume(self):
        try:
            with np.load(self.file) as saved:
                values = {name: saved[name] for name in saved.files}
            settings = {name: int(values.pop(name)) for name in self.settings}
            epoch, row = int(values.pop("epoch")), int(values.pop("row"))
        except Exception as error:
            raise Problem(f"{self.file} is no checkpoint of this program ({error}): move it away, or start anew with --fresh") from error
        for name, value in settings.items():
            if value != self.settings[name]:
                raise Problem(f"{self.file} was made with {name} {value} and not {self.settings[name]}: say so, or start anew with --fresh")
        self.weights, self.epoch, self.row = values, epoch, row
        print(f"continuing {self.file} after epoch {epoch}", flush=True)

    def save(self, network):
        progress = {"epoch": self.epoch, "row": self.row}
        write_whole(self.file, lambda file: np.savez(file, **self.settings, **progress, **network.to_numpy()))


def read_data(directory):
    """The last column is the kind, 0 or 1."""
    file = directory / "moons.csv"
    if not file.exists():
        points = two_moons()
        write_whole(file, lambda out: np.savetxt(out, points, fmt="%.5f", delimiter=",", header="x,y,kind", comments=""))
        print(f"made a data set of {len(points)} points: {file}", flush=True)
    try:
        rows = np.loadtxt(file, delimiter=",", skiprows=1, dtype=np.float32, ndmin=2)
    except ValueError as error:
        raise Problem(f"{file} is not a table of numbers: {error}") from error
    if len(rows) < 10 or rows.shape[1] < 2 or not np.isin(rows[:, -1], (0, 1)).all():
        raise Problem(f"{file} must have ten rows or more, and 0 or 1 in its last column")
    return rows[:, :-1], rows[:, -1:]


def two_moons(count=1000, noise=0.2):
    """Two half circles that reach into each other: no straight line parts them."""
    random = np.random.default_rng(1)
    kind = np.arange(count) % 2
    angle = random.uniform(0, np.pi, count)
    x = np.where(kind == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(kind == 0, np.sin(angle), 0.5 - np.sin(angle))
    return np.column_stack([x, y, kind]) + np.column_stack([random.normal(scale=noise, size=(count, 2)), np.zeros(count)])


def write_whole(file, write):
    """All of it or nothing, whenever the machine or the container goes: under another name first, then renamed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.new")
    with open(temporary, "wb") as out:
        write(out)
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(file)
    directory = os.open(file.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


if __name__ == "__main__":
    main()

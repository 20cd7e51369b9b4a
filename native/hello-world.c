/* The program of the embedded image hello-world. */
#include <unistd.h>

static const char text[] =
	"\n"
	"Hello from Gantry!\n"
	"This message shows that your installation works.\n"
	"\n"
	"What just happened:\n"
	" 1. The client asked the Gantry daemon for a container of the image \"hello-world\".\n"
	" 2. The image was not there yet, so the daemon unpacked the copy it carries.\n"
	" 3. A monitor gave this program its own namespaces, its own root file system, 14 of\n"
	"    root's capabilities and a system call filter, and ran it.\n"
	" 4. What it printed went through the monitor and the daemon to your terminal.\n"
	"\n"
	"To try something more ambitious, run a shell:\n"
	" $ gantry run -it busybox sh\n"
	"\n";

int main(void) {
	const char *at = text;
	for (size_t left = sizeof text - 1; left > 0;) {
		ssize_t n = write(1, at, left);
		if (n < 0) return 1;
		at += n;
		left -= (size_t)n;
	}
	return 0;
}

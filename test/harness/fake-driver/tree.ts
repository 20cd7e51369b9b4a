/** Files, links and device nodes below a directory, by their path in the machine that is played. */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { changeModeAt, changeOwnerAt, makeNodeAt, S_IFCHR } from '../../../src/linux/file-calls.ts';

const S_IFSOCK = 0o140000;

export interface NodeOptions {
  readonly mode?: number;
  readonly gid?: number;
}

export class FakeTree {
  readonly root: string;
  readonly #nodes: 'mknod' | 'empty';
  #drmMinor = 0;

  constructor(root: string, nodes: 'mknod' | 'empty') {
    this.root = root;
    this.#nodes = nodes;
  }

  write(path: string, content: string | Uint8Array, mode = 0o644): void {
    const file = this.#place(path);
    writeFileSync(file, content);
    chmodSync(file, mode);
  }

  /** `target` is a path of the machine when it begins with `/`, then made relative: links stay inside the tree. */
  link(path: string, target: string): void {
    const file = this.#place(path);
    symlinkSync(target.startsWith('/') ? relative(dirname(file), join(this.root, target)) : target, file);
  }

  node(path: string, major: number, minor: number, { mode = 0o666, gid = 0 }: NodeOptions = {}): void {
    if (this.#nodes === 'empty') this.write(path, '', mode);
    else this.#make(path, S_IFCHR | mode, major, minor, gid);
  }

  socket(path: string): void {
    this.#make(path, S_IFSOCK | 0o666, 0, 0, 0);
  }

  /**
   * A GPU's directory of sysfs, its DRM nodes and what leads to them; the driver's own nodes are the caller's. Gives the paths of the DRM nodes.
   */
  drm(pciAddress: string): readonly string[] {
    this.#drmMinor++;
    const [card, render] = [`card${this.#drmMinor}`, `renderD${127 + this.#drmMinor}`];
    this.node(`dev/dri/${card}`, 226, this.#drmMinor, { mode: 0o660, gid: 44 });
    this.node(`dev/dri/${render}`, 226, 127 + this.#drmMinor, { mode: 0o660, gid: 105 });
    this.link(`dev/dri/by-path/pci-${pciAddress}-card`, `../${card}`);
    this.link(`dev/dri/by-path/pci-${pciAddress}-render`, `../${render}`);
    const device = `/sys/devices/pci0000:00/${pciAddress}`;
    const minors = { [card]: this.#drmMinor, [render]: 127 + this.#drmMinor };
    for (const [name, minor] of Object.entries(minors)) {
      this.write(`${device}/drm/${name}/dev`, `226:${minor}\n`);
      this.link(`${device}/drm/${name}/device`, device);
      this.link(`sys/class/drm/${name}`, `${device}/drm/${name}`);
    }
    return [`/dev/dri/${card}`, `/dev/dri/${render}`];
  }

  /** `driver` '': nothing has it. */
  pci(address: string, vendor: string, device: string, driver: string): void {
    const place = `/sys/devices/pci0000:00/${address}`;
    this.write(`${place}/vendor`, `${vendor}\n`);
    this.write(`${place}/device`, `${device}\n`);
    this.write(`${place}/class`, '0x030200\n');
    this.link(`sys/bus/pci/devices/${address}`, place);
    if (driver === '') return;
    this.directory(`sys/bus/pci/drivers/${driver}`);
    this.link(`${place}/driver`, `/sys/bus/pci/drivers/${driver}`);
  }

  directory(path: string): void {
    mkdirSync(join(this.root, path), { recursive: true });
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  #make(path: string, mode: number, major: number, minor: number, gid: number): void {
    const file = this.#place(path);
    const directory = openSync(dirname(file), 'r');
    try {
      const name = file.slice(dirname(file).length + 1);
      makeNodeAt(directory, name, mode, major, minor);
      changeModeAt(directory, name, mode & 0o7777);
      if (gid !== 0) changeOwnerAt(directory, name, 0, gid);
    } finally {
      closeSync(directory);
    }
  }

  #place(path: string): string {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    return file;
  }
}

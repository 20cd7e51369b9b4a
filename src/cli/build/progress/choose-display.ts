import type { CliIo } from '../../cli-io.ts';
import type { ProgressMode } from '../options/build-options.ts';
import { type BuildDisplay, quietDisplay } from './build-display.ts';
import { PlainDisplay } from './plain-display.ts';
import { RawJsonDisplay } from './raw-json-display.ts';
import { TerminalDisplay } from './terminal-display.ts';

/** On standard error, as the image's ID or an archive may go to standard output. Without a terminal there is no drawing, whatever was asked for. */
export function chooseDisplay(mode: ProgressMode, io: CliIo): BuildDisplay {
  switch (mode) {
    case 'quiet':
      return quietDisplay;
    case 'rawjson':
      return new RawJsonDisplay(io.stderr);
    case 'plain':
      return new PlainDisplay({ output: io.stderr });
    case 'auto':
    case 'tty':
      if (io.stderr.isTTY !== true || io.env.TERM === 'dumb') return new PlainDisplay({ output: io.stderr });
      return new TerminalDisplay({ output: io.stderr, colours: (io.env.NO_COLOR ?? '') === '' });
  }
}

/** The drivers that keep lines in files of their own, or nowhere: json-file, local, none. */
import { invalid } from '../../base/errors.ts';
import { attributeOptions, checkAttributeOptions } from './log-attributes.ts';
import { badLogOption, type LogDriver, type LogOptions, type Spool } from './log-driver.ts';
import { checkTag } from './log-tag.ts';
import { parseBoolean, parseInteger, parseSize, requireKnown } from './option-values.ts';

/** Rotated by default, so that a chatty container never fills the disk. Docker's own default is one file without limit. */
const defaultJsonFile: Spool = { maxSizeBytes: 10_000_000, maxFiles: 3, compress: false };

/** Docker's `local` and its cache of drivers that send lines elsewhere. */
const defaultLocal: Spool = { maxSizeBytes: 20_000_000, maxFiles: 5, compress: true };

export const jsonFileDriver: LogDriver = { name: 'json-file', sink: null, showsPath: true, spool: jsonFileSpool };
export const localDriver: LogDriver = { name: 'local', sink: null, showsPath: false, spool: localSpool };
export const noneDriver: LogDriver = {
  name: 'none',
  sink: null,
  showsPath: false,
  spool: () => null,
};

function jsonFileSpool(options: LogOptions): Spool {
  requireKnown(options, ['max-size', 'max-file', 'compress', ...attributeOptions], 'json-file log driver');
  checkAttributeOptions(options);
  checkTag(options.tag);
  const maxSizeBytes = sizeOption(options['max-size'], defaultJsonFile.maxSizeBytes);
  const maxFiles = options['max-file'] === undefined ? defaultJsonFile.maxFiles : parseInteger(options['max-file'], badLogOption);
  if (maxFiles < 1) throw badLogOption('max-file cannot be less than 1');
  const compress = options.compress !== undefined && parseBoolean(options.compress, badLogOption);
  if (compress && (maxFiles < 2 || maxSizeBytes === 0)) {
    throw badLogOption('compress cannot be true when max-file is less than 2 or max-size is not set');
  }
  return { maxSizeBytes, maxFiles: limited(maxFiles), compress };
}

/** `-1`: no limit. */
function sizeOption(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (text === '-1') return 0;
  const bytes = parseSize(text, 'human', badLogOption);
  if (bytes <= 0) throw badLogOption('max-size must be a positive number');
  return bytes;
}

function localSpool(options: LogOptions): Spool {
  requireKnown(options, ['max-size', 'max-file', 'compress'], 'log driver local');
  const { 'max-size': size, 'max-file': files, compress: packed } = options;
  const sized = (text: string) => badLogOption(`invalid value for max-size: ${size}: ${text}`);
  const maxSizeBytes = size === undefined ? defaultLocal.maxSizeBytes : parseSize(size, 'human', sized);
  if (maxSizeBytes <= 0) throw badLogOption('max size should be a positive number');
  const counted = (text: string) => badLogOption(`invalid value for max-file: ${files}: ${text}`);
  const maxFiles = files === undefined ? defaultLocal.maxFiles : parseInteger(files, counted);
  if (maxFiles < 0) throw badLogOption('max file count cannot be less than 0');
  const compress = packed === undefined || parseBoolean(packed, (text) => badLogOption(`error reading compress log option: ${text}`));
  if (compress && maxFiles <= 1) throw badLogOption('compression cannot be enabled when max file count is 1');
  return { maxSizeBytes, maxFiles: limited(Math.max(1, maxFiles)), compress };
}

/** What `docker logs` reads of a driver that sends its lines elsewhere, and what waits for the receiver. */
export function cacheSpool(options: LogOptions): Spool {
  const { 'cache-max-size': size, 'cache-max-file': files, 'cache-compress': packed } = options;
  const refuse = (name: string) => () => invalid(`invalid value for option ${name}: ${options[name]}`);
  const maxFiles = files === undefined ? defaultLocal.maxFiles : parseInteger(files, refuse('cache-max-file'));
  const maxSizeBytes = size === undefined ? defaultLocal.maxSizeBytes : parseSize(size, 'human', refuse('cache-max-size'));
  if (maxFiles < 1) throw refuse('cache-max-file')();
  if (maxSizeBytes < 1) throw refuse('cache-max-size')();
  const compress = packed === undefined ? maxFiles > 1 : parseBoolean(packed, refuse('cache-compress'));
  return { maxSizeBytes, maxFiles: limited(maxFiles), compress: compress && maxFiles > 1 };
}

/** More files than anybody can read are no limit; looking for each of them takes its time. */
function limited(maxFiles: number): number {
  if (maxFiles > 1000) throw badLogOption(`max-file cannot be more than 1000: ${maxFiles}`);
  return maxFiles;
}

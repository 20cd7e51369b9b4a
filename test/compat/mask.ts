/** Replaces what differs between any two runs (ids, times, generated names) by its kind. */
export function mask(text: string): string {
  return (
    text
      .replace(/\r\n/g, '\n')
      .split('\n')
      // What the host withholds is told on one side or the other.
      .filter((line) => !line.startsWith('WARNING: ') || !/swap limit|capabilit/i.test(line))
      // The CLI's own words when an answer comes before its archive is written: whether it does is a matter of microseconds.
      .filter((line) => !/^time=\S+ level=error msg="Can't (add file .* to|close) tar/.test(line))
      .map(maskLine)
      .join('\n')
  );
}

function maskLine(line: string): string {
  return line
    .replace(/\b(sha256:)?[0-9a-f]{64}\b/g, '<id>')
    .replace(/\b[0-9a-f]{12}\b/g, '<id12>')
    .replace(/\/tmp\/(tmp\.[A-Za-z0-9]+|gantry-[\w-]+)/g, '<tmp>')
    .replace(/\b(Less than a second|About an? (minute|hour)|\d+ (seconds?|minutes?|hours?)) ago\b/g, '<ago>')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>');
}

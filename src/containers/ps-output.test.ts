import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPsArguments, parsePsOutput } from './ps-output.ts';

test('parsePsOutput: lines of the given processes, the last field whole', () => {
  const output = 'UID   PID  PPID CMD\nroot  7    1    sh -c  while :;  do :; done\nroot  8    1    other\n\nroot  9  7 sleep\u00a01\n';
  assert.deepEqual(parsePsOutput(output, new Set([7, 9])), {
    titles: ['UID', 'PID', 'PPID', 'CMD'],
    processes: [
      ['root', '7', '1', 'sh -c while :; do :; done'],
      // Only ASCII blanks part fields.
      ['root', '9', '7', 'sleep\u00a01'],
    ],
  });
});

test('parsePsOutput: lines of threads belong to the process before them', () => {
  const output = 'PID LWP CMD\n7 - sh\n- 7 -\n8 - other\n- 8 -\n';
  assert.deepEqual(parsePsOutput(output, new Set([7])).processes, [
    ['7', '-', 'sh'],
    ['-', '7', '-'],
  ]);
});

test('parsePsOutput, checkPsArguments: Docker refuses what hides whose process it is', () => {
  assert.throws(() => parsePsOutput('COMMAND\nsh\n', new Set([7])), /^EngineError: Couldn't find PID field in ps output$/);
  assert.throws(() => parsePsOutput('PID CMD\nx sh\n', new Set([7])), /Unexpected pid 'x'/);
  assert.throws(() => checkPsArguments('-o uid=PID'), /^EngineError: specifying "uid=PID" is not allowed$/);
  checkPsArguments('-o pid=PID -o uid=X');
});

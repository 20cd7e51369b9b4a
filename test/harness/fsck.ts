/** What `gantry system fsck` says of a daemon, as lines for an assertion. */
import { request } from 'node:http';

interface Answer {
  readonly Findings: readonly { readonly Kind: string; readonly What: string; readonly Why: string }[];
}

const patienceMs = 10_000;

/** `host`: unix://…. What a busy machine has not got to yet is no finding of a test. */
export async function fsckFindings(host: string, method: 'GET' | 'POST' = 'GET', deep = false): Promise<readonly string[]> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = await fsckOnce(host, method, deep);
    if (found.length === 0 || method === 'POST' || Date.now() > deadline) return found;
  }
}

/** As `fsckFindings`, without its patience: for what is damaged on purpose. */
export async function fsckOnce(host: string, method: 'GET' | 'POST' = 'GET', deep = false): Promise<readonly string[]> {
  const { Findings } = JSON.parse(await call(host, method, `/system/fsck${deep ? '?deep=1' : ''}`)) as Answer;
  return Findings.map(({ Kind, What, Why }) => `${Kind} ${What}: ${Why}`);
}

function call(host: string, method: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: host.replace('unix://', ''), method, path, timeout: 60_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`)),
      );
      response.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer within a minute`)));
    call.on('error', reject);
    call.end();
  });
}

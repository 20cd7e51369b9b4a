// Prints which engine answers on the unix socket given: `Gantry`, `Docker Engine - Community`, …; exit code 1 when none does. Plain Node: install.sh runs it.
import { request } from 'node:http';

const call = request({ socketPath: process.argv[2], path: '/version', timeout: 5000 }, (response) => {
  let text = '';
  response.on('data', (chunk) => {
    text += chunk;
  });
  response.on('end', () => console.log(nameIn(text)));
});
// Whoever takes a connection and says nothing is there all the same.
call.on('timeout', () => {
  console.log('one that does not answer');
  process.exit(0);
});
call.on('error', () => process.exit(1));
call.end();

function nameIn(text) {
  try {
    const { Platform, Version } = JSON.parse(text);
    return Platform?.Name || `Docker ${Version ?? ''}`.trim();
  } catch {
    return 'unknown';
  }
}

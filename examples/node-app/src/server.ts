import { createServer } from 'node:http';
import { nanoid } from 'nanoid';

const server = createServer((_request, response) => response.end(`Hello, you are visitor ${nanoid()}\n`));
server.listen(3000, () => console.log('listening on 3000'));
process.once('SIGTERM', () => server.close());

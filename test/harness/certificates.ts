/** An authority with a server's and a client's certificate, as `docker --tlsverify` wants them; made by openssl. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { shell } from './command.ts';

/** Two directories with `ca.pem`, `cert.pem` and `key.pem`. */
export interface Certificates {
  readonly server: string;
  readonly client: string;
}

export async function makeCertificates(
  directory: string,
  names = 'IP:127.0.0.1,DNS:localhost,DNS:engine.example.org',
): Promise<Certificates> {
  const [server, client] = [join(directory, 'server'), join(directory, 'client')];
  for (const path of [server, client]) mkdirSync(path, { recursive: true });
  writeFileSync(join(directory, 'server.ext'), `subjectAltName=${names}\nextendedKeyUsage=serverAuth\n`);
  writeFileSync(join(directory, 'client.ext'), 'extendedKeyUsage=clientAuth\n');
  const { status, stderr } = await shell(
    `set -e
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl req -x509 -new -key ca.key -days 2 -subj /CN=authority -out ca.pem
    for role in server client; do
      openssl ecparam -name prime256v1 -genkey -noout -out $role/key.pem
      openssl req -new -key $role/key.pem -subj /CN=$role | openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $role.ext -out $role/cert.pem
      cp ca.pem $role/ca.pem
    done`,
    { cwd: directory },
  );
  if (status !== 0) throw new Error(`certificates: ${stderr}`);
  return { server, client };
}

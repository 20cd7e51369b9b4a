/** Which build this is. The bundler writes the stamp in; from source it is `dev`. */
import packageJson from '../../package.json' with { type: 'json' };

export const engineVersion: string = packageJson.version;
export const buildName: string = process.env.GANTRY_BUILD ?? 'dev';

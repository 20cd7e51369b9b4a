/** Which build this is. The bundler writes both in; from source there is none. */
export const buildName: string = process.env.GANTRY_BUILD ?? '';
export const versionName: string = process.env.GANTRY_VERSION ?? '0.1.0';

/** Bodies of `POST /volumes/create` and of our `POST /volumes/{name}/rename` and `/volumes/{name}/clone`. */
import Type from 'typebox';
import { invalid, notImplemented } from '../base/errors.ts';
import { decoderOf, StringMap } from './decode.ts';

const optionalString = Type.Optional(Type.String());

const decodeCreate = decoderOf(
  Type.Object({
    Name: optionalString,
    Driver: optionalString,
    DriverOpts: Type.Optional(StringMap),
    Labels: Type.Optional(StringMap),
    ClusterVolumeSpec: Type.Optional(Type.Unknown()),
  }),
);

export function decodeVolumeCreate(body: unknown) {
  const request = decodeCreate(body);
  if (request.ClusterVolumeSpec !== undefined)
    throw notImplemented('ClusterVolumeSpec is not supported: cluster volumes belong to swarm mode, which Gantry does not have');
  return {
    name: request.Name || null,
    driver: request.Driver ?? '',
    driverOptions: request.DriverOpts ?? {},
    labels: request.Labels ?? {},
  };
}

const decodeNewName = decoderOf(Type.Object({ Name: optionalString, Labels: Type.Optional(StringMap) }));

/** The name that a renamed or copied volume gets. */
export function decodeVolumeCopy(body: unknown) {
  const { Name = '', Labels = {} } = decodeNewName(body);
  if (Name === '') throw invalid('invalid request body: Name must be the new name of the volume');
  return { name: Name, labels: Labels };
}

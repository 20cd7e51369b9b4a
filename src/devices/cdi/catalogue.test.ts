import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { catalogueOf, editsOf } from './catalogue.ts';
import type { CdiSpec } from './cdi-spec.ts';

const directories = ['/etc/cdi', '/var/run/cdi'];

const spec = (kind: string, ...names: readonly string[]): CdiSpec => ({
  cdiVersion: '0.6.0',
  kind,
  devices: names.map((name) => ({ name, containerEdits: { env: [`DEVICE=${name}`] } })),
  containerEdits: { env: [`ALL=${kind}`] },
});

const file = (name: string, priority: number, of: CdiSpec) => ({ file: `${directories[priority]}/${name}`, priority, spec: of });

describe('catalogueOf', () => {
  it('prefers later directories, and files to what is discovered', () => {
    const files = [file('a.json', 0, spec('v/c', '0', '1')), file('b.json', 1, spec('v/c', '1'))];
    const { devices, problems } = catalogueOf(directories, { files, problems: [] }, [spec('v/c', '0', '2', '10')]);
    assert.deepEqual(
      [...devices.values()].map(({ name, file: from }) => `${name} ${from}`),
      ['v/c=0 /etc/cdi/a.json', 'v/c=1 /var/run/cdi/b.json', 'v/c=2 null', 'v/c=10 null'],
    );
    assert.deepEqual(problems, []);
  });

  it('does not decide between equals, unless a higher one does', () => {
    const files = [file('a.json', 0, spec('v/c', '0', '1')), file('b.json', 0, spec('v/c', '0', '1')), file('c.json', 1, spec('v/c', '1'))];
    const catalogue = catalogueOf(directories, { files, problems: [] }, []);
    const text = 'v/c=0 is described by /etc/cdi/a.json and /etc/cdi/b.json: leave it in one of them';
    assert.deepEqual(catalogue.problems, [{ source: '/etc/cdi/a.json', text }]);
    assert.equal(catalogue.devices.get('v/c=0')?.problem, text);
    assert.equal(catalogue.devices.get('v/c=1')?.problem, null);
    assert.throws(() => editsOf(catalogue, ['v/c=0']), {
      message: `CDI device injection failed: unresolvable CDI devices v/c=0; ${text}; descriptions are read from /etc/cdi and /var/run/cdi; ${text}`,
    });
  });
});

describe('editsOf', () => {
  const files = [file('a.json', 0, spec('v/c', '0', '1')), file('b.json', 0, spec('nvidia.com/gpu', 'all', '0'))];
  const catalogue = catalogueOf(directories, { files, problems: [] }, []);

  it("has a description's own edits once, before its first device, and devices in the order asked", () => {
    const parts = editsOf(catalogue, ['v/c=1', 'nvidia.com/gpu=all', 'v/c=0', 'v/c=1']);
    assert.deepEqual(
      parts.map(({ file: from, edits }) => `${from} ${edits.env?.join()}`),
      [
        '/etc/cdi/a.json ALL=v/c',
        '/etc/cdi/a.json DEVICE=1',
        '/etc/cdi/b.json ALL=nvidia.com/gpu',
        '/etc/cdi/b.json DEVICE=all',
        '/etc/cdi/a.json DEVICE=0',
      ],
    );
    assert.deepEqual(editsOf(catalogue, []), []);
  });

  it("says in Docker's words what cannot be had, what is near, and where was looked", () => {
    const start = 'CDI device injection failed: unresolvable CDI devices';
    const end = 'descriptions are read from /etc/cdi and /var/run/cdi';
    const problemOf = (...names: readonly string[]) => {
      try {
        return String(editsOf(catalogue, names).length);
      } catch (error) {
        return error instanceof Error ? error.message : '';
      }
    };
    assert.equal(problemOf('nvidia.com/gpu=al'), `${start} nvidia.com/gpu=al; did you mean nvidia.com/gpu=all?; ${end}`);
    assert.equal(problemOf('nvida.com/gpu=all'), `${start} nvida.com/gpu=all; did you mean nvidia.com/gpu=all?; ${end}`);
    assert.equal(
      problemOf('nvidia.com/gpu=GPU-8ce1-4711-0815', 'v/c=0'),
      `${start} nvidia.com/gpu=GPU-8ce1-4711-0815; of nvidia.com/gpu there is 0, all; ${end}`,
    );
    assert.equal(problemOf('other.org/thing=x', 'far.away/x=y'), `${start} other.org/thing=x, far.away/x=y; ${end}`);
    const broken = { source: '/etc/cdi/x.json', text: '/etc/cdi/x.json: kind: is missing' };
    const none = catalogueOf(directories, { files: [], problems: [broken, broken] }, []);
    assert.throws(() => editsOf(none, ['v/c=0']), {
      message: `${start} v/c=0; ${end}, where there is none that can be used; ${broken.text} (and 1 more problems)`,
    });
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mergeScopes, repositoryScope, splitScopes } from './scopes.ts';

test('mergeScopes: actions on one repository are joined, equal sets are equal lists', () => {
  assert.deepEqual(mergeScopes([repositoryScope('a/b', 'pull')], splitScopes('repository:a/b:push,pull repository:c:pull')), [
    'repository:a/b:pull,push',
    'repository:c:pull',
  ]);
  assert.deepEqual(mergeScopes(splitScopes('  registry:catalog:*  odd ')), ['odd', 'registry:catalog:*']);
  const scope = fc.constantFrom('repository:a:pull', 'repository:a:push', 'repository:b:pull,delete', 'odd', 'registry:catalog:*');
  fc.assert(fc.property(fc.array(scope), (scopes) => assert.deepEqual(mergeScopes(scopes), mergeScopes([...scopes].reverse(), scopes))));
});

/** Command lines on registries of which `docker` and `gantry` must make the same request, with the same credentials, or which both must refuse in the same words. */

export const transferLines = `
pull x
pull -q x
pull x:1
pull a/b
pull docker.io/x
pull docker.io/a/b:c
pull index.docker.io/library/x
pull known:5000/x
pull known:5001/x
pull -a known:5000/a/b
pull spelled.example/x
pull token.example/x
pull plain.example/x
pull localhost/x
pull --platform linux/arm64 x
pull --platform arm x
pull x@sha256:0123456789012345678901234567890123456789012345678901234567890123
pull x:1@sha256:0123456789012345678901234567890123456789012345678901234567890123
image pull --all-tags --quiet x
push x
push x:1
push known:5000/a/b:c
push -a known:5000/a/b
push -q x:1
push --platform linux/arm/v7 x
push --platform arm64 x
create --pull always --platform linux/arm64 known:5000/x
create --pull always -q token.example/x:1
login -u me -p pass
login -u me -p pass docker.io
login -u me -p pass https://index.docker.io/v1/
login -u me -p pass new:5000
login -u me -p pass https://new:5000/v2/
login known:5000
login plain.example
search x
search --limit 5 -f stars=3 -f is-official=true a/b
search known:5000/a/b
search --no-trunc plain.example/x
`
  .split('\n')
  .filter((line) => line !== '');

export const refusedTransferLines = `
pull
pull a b
pull -a x:1
pull -a x@sha256:0123456789012345678901234567890123456789012345678901234567890123
pull UPPER
pull a:b:c
pull x:-y
pull ""
pull --all x
push
push -a x:1
push x@sha256:0123456789012345678901234567890123456789012345678901234567890123
push a/UPPER
push ""
login a b
login --password-stdin new:5000
login -u a -p b --password-stdin
login --username "" -p b new:5000
login -u a --password "" new:5000
logout a b
search
search -f x y
search --limit x y
run --pull bogus x
`
  .split('\n')
  .filter((line) => line !== '');

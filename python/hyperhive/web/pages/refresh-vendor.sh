#!/usr/bin/env bash
# Refreshes static/vendor from the npm registry that npm is set up for: refresh-vendor.sh [PREACT_VERSION [HTM_VERSION]]
# Without versions it fetches the pinned ones again, which must leave the files as they are.
set -euo pipefail

preact_version=${1:-11.2.0}
htm_version=${2:-3.1.1}
vendor=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/static/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # name version: unpacked into $work/NAME, the archive beside it
  mkdir "$work/$1"
  (cd "$work" && npm pack --silent "$1@$2" >/dev/null)
  tar -xzf "$work/$1-$2.tgz" -C "$work/$1" --strip-components=1
}
fetch preact "$preact_version"
fetch htm "$htm_version"

# Import maps would need inline code, which the page's policy forbids: the one bare import becomes a path.
# Source maps are not shipped, so nothing points at them.
plain() { sed -e 's#from *"preact"#from"./preact.js"#g' -e '/^\/\/# sourceMappingURL=/d' "$1"; }
mkdir -p "$vendor"
plain "$work/preact/dist/preact.mjs" >"$vendor/preact.js"
plain "$work/preact/hooks/dist/hooks.mjs" >"$vendor/preact-hooks.js"
plain "$work/htm/dist/htm.mjs" >"$vendor/htm.js"
cp "$work/preact/LICENSE" "$vendor/LICENSE.preact"
cp "$work/htm/LICENSE" "$vendor/LICENSE.htm"
chmod 644 "$vendor"/*

sum() { sha256sum "$1" | cut -d' ' -f1; }
cat >"$vendor/README.md" <<TEXT
# Libraries of others

Written by \`refresh-vendor.sh\`; never edited by hand. \`CHECKSUMS\` has the SHA-256 of each file as it lies here
(\`sha256sum -c CHECKSUMS\`).

| package | version | licence | files | SHA-256 of the package |
|---|---|---|---|---|
| preact | $preact_version | MIT (\`LICENSE.preact\`) | \`preact.js\` = dist/preact.mjs, \`preact-hooks.js\` = hooks/dist/hooks.mjs | \`$(sum "$work/preact-$preact_version.tgz")\` |
| htm | $htm_version | Apache-2.0 (\`LICENSE.htm\`) | \`htm.js\` = dist/htm.mjs | \`$(sum "$work/htm-$htm_version.tgz")\` |

Changed against the packages: \`from"preact"\` became \`from"./preact.js"\` (no import maps under the page's policy), and
the \`sourceMappingURL\` lines are gone.
TEXT
(cd "$vendor" && sha256sum LICENSE.htm LICENSE.preact htm.js preact-hooks.js preact.js >CHECKSUMS)

#!/bin/sh
# Installs what this machine lacks to build the archives and to run the lab: Debian's packages, by apt.
# Usage: sh setup.sh          (`make setup` calls it)
set -eu

say() { echo "standfast: $*" >&2; }

[ "$(uname -s)" = Linux ] || { say "$(uname -s) cannot run the lab's hosts: use a Debian or Ubuntu machine"; exit 2; }

# A command and the package that brings it.
missing=$(while read -r command package; do
    command -v "$command" >/dev/null 2>&1 || [ -x "/usr/sbin/$command" ] || echo "$package"
done <<PACKAGES
mmdebstrap mmdebstrap
systemd-nspawn systemd-container
ip iproute2
nft nftables
mkfs.ext4 e2fsprogs
losetup mount
nsenter util-linux
ssh openssh-client
openssl openssl
mvn maven
java default-jre-headless
python3 python3
PACKAGES
)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"
missing=$(echo $missing)
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || { say "this machine lacks: $missing. Install them: sudo apt-get install $missing"; exit 2; }
command -v apt-get >/dev/null || { say "this machine lacks: $missing, and has no apt-get: install them by hand"; exit 2; }
say "installing $missing"
log=$(mktemp)
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing; } >"$log" 2>&1
then
    tail -n 5 "$log" >&2
    say "apt-get could not install $missing (the whole log: $log)"
    exit 1
fi
rm -f "$log"

#!/usr/bin/env bash
# Installs the Debian packages in a clean system in a folder, and uses them as a stranger would: the
# command, and a program of one's own built with CMake and with pkg-config. try_packages.sh FOLDER
set -euo pipefail
packages=$(realpath "$1")
source=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mmdebstrap --quiet --variant=apt bookworm "$root"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/trial DEBIAN_FRONTEND=noninteractive "$@"; }
mkdir "$root/trial"
cp "$packages"/*.deb "$source/tests/golden/files/seed_model.keras" \
   "$source/tests/golden/files/seed_model.npz" "$root/trial/"
cp -r "$source/tests/consumer" "$root/trial/consumer"
install_packages() { inside apt-get install -y -qq --no-install-recommends "$@" >"$root/apt.log" 2>&1 || { cat "$root/apt.log"; exit 1; }; }

inside apt-get update -qq
install_packages $(cd "$packages" && printf '/trial/%s ' libkeratin[0-9]*[0-9]_*.deb keratin_*.deb)
inside keratin --version
inside keratin summary /trial/seed_model.keras >/dev/null
inside keratin fit /trial/seed_model.keras /trial/seed_model.npz --epochs 2 -o /trial/trained.keras
inside keratin evaluate /trial/trained.keras /trial/seed_model.npz

install_packages $(cd "$packages" && printf '/trial/%s ' libkeratin-dev*.deb) g++ cmake make pkg-config
inside sh -c 'cd /trial/consumer && cmake -S . -B build >/dev/null && cmake --build build >/dev/null && build/consumer'
inside sh -c 'cd /trial && g++ consumer/main.cpp -o by_pkg_config $(pkg-config --cflags --libs keratin) && ./by_pkg_config'
echo "The packages work in a clean system."

#!/usr/bin/env bash
# Installs what the tests, the demo and the benchmarks need in addition to Node.js: redis-server, Java 17 or newer,
# Maven (only to fetch Kafka once), openssl, Chromium, Prometheus with promtool, and Python with pip (for the Python original
# of the Redis library, see test/support/processes/python-sdk.ts). As root on Debian or Ubuntu it installs what is missing with apt,
# without starting any service; otherwise it names what is missing and stops. With --node-only it checks only Node.js.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
  echo "make: $*" >&2
  exit 1
}

have() { command -v "$1" > /dev/null; }

# As test/support/servers/chromium.ts finds it.
have_chromium() {
  [ -n "${CHROMIUM:-}" ] || have chromium || have chromium-browser || have google-chrome || have google-chrome-stable
}

java_version() {
  local java=java
  if [ -n "${JAVA_HOME:-}" ]; then java=$JAVA_HOME/bin/java; fi
  "$java" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -1
}

if ! have node || ! have npm; then
  fail 'Node.js 18 or newer and npm are required (as root on Debian or Ubuntu: apt-get install nodejs npm)'
fi
if [ "$(node -p 'parseInt(process.versions.node)')" -lt 18 ]; then
  fail "Node.js $(node -v) is too old to install this project: version 18 or newer is required"
fi

if [ "${1:-}" = --node-only ]; then exit 0; fi

kafka_version=$(sed -nE 's/.*<kafka.version>(.*)<\/kafka.version>.*/\1/p' deploy/local/kafka/pom.xml)
missing=()
if ! have redis-server; then missing+=(redis-server); fi
if [ "$(java_version || true)0" -lt 170 ]; then missing+=(java); fi
if ! have mvn && [ ! -d ".cache/kafka-$kafka_version" ]; then missing+=(maven); fi
if ! have openssl; then missing+=(openssl); fi
if ! have_chromium; then missing+=(chromium); fi
if ! have prometheus || ! have promtool; then missing+=(prometheus); fi
if ! have python3; then missing+=(python3); fi
if ! python3 -m pip --version > /dev/null 2>&1; then missing+=(python3-pip); fi
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

if ! have apt-get; then
  fail "missing: ${missing[*]}. Install redis-server, Java 17 or newer, Maven, openssl, Chromium, Prometheus with promtool, and Python 3.11 or newer with pip."
fi

is_known() { apt-cache show "$1" > /dev/null 2>&1; }

# default-jre is too old on some releases.
java_package() {
  local package
  for package in openjdk-17-jre-headless openjdk-21-jre-headless; do
    if is_known "$package"; then
      echo "$package"
      return
    fi
  done
  echo default-jre-headless
}

if [ "$(id -u)" -ne 0 ]; then
  packages=${missing[*]/java/default-jre-headless}
  fail "missing: ${missing[*]}. Run: sudo apt-get install $packages"
fi

echo "make: installing ${missing[*]} with apt (starts no service) …"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=false
clean_up() {
  rm -f "$log"
  if $made_policy; then rm -f "$policy"; fi
}
trap clean_up EXIT
# Exit code 101 forbids every package to start its service.
if [ ! -e "$policy" ]; then
  made_policy=true
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
fi

update() { apt-get update -qq > "$log" 2>&1; }

install_missing() {
  local packages=("${missing[@]/#java/$(java_package)}")
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" > "$log" 2>&1
}

if ! is_known redis-server; then update || true; fi
if ! install_missing && ! { update && install_missing; }; then
  cat "$log" >&2
  fail "apt could not install ${missing[*]}"
fi

#!/bin/sh
# Starts Redis for the compose files, with the options that are passed. The password comes from a file into the configuration
# file, so that neither `docker inspect` nor `ps` shows it. Sentinel writes the role of the server into the same file: it is
# kept, so that a primary that was replaced returns as a replica.
set -eu
umask 077
config=${CONFIG_FILE:-/data/redis.conf}
password=$(sed 's/["\\]/\\&/g' "${PASSWORD_FILE:-/run/secrets/redis_password}")
if [ ! -e "$config" ]; then
  # REPLICA_OF: host and port of the primary, for a server that begins as a replica.
  echo "${REPLICA_OF:+replicaof $REPLICA_OF}" > "$config"
fi
kept=$(grep -vE '^(requirepass|masterauth) ' "$config" || true)
printf '%s\nrequirepass "%s"\nmasterauth "%s"\n' "$kept" "$password" "$password" > "$config"
# CLUSTER_HOSTNAME: the name by which clients reach this node of a Redis Cluster. It may not contain an underscore.
if [ -n "${CLUSTER_HOSTNAME:-}" ]; then
  # If a master is lost, the others go on.
  set -- --cluster-enabled yes --cluster-node-timeout 5000 --cluster-require-full-coverage no \
    --cluster-announce-hostname "$CLUSTER_HOSTNAME" --cluster-preferred-endpoint-type hostname "$@"
fi
# Changes the owner of the files in this folder, and continues as the user redis.
exec docker-entrypoint.sh redis-server "$config" "$@"

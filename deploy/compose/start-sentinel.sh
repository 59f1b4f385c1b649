#!/bin/sh
# Starts a Sentinel for docker-compose.sentinel.yml, with the options that are passed. It writes what it learns into its
# configuration file, which is therefore kept; only the password of Redis is taken from its file each time.
set -eu
umask 077
config=${CONFIG_FILE:-/data/sentinel.conf}
password=$(sed 's/["\\]/\\&/g' "${PASSWORD_FILE:-/run/secrets/redis_password}")
if [ ! -e "$config" ]; then
  cat > "$config" << END
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor mymaster ${PRIMARY:-redis 6379} 2
sentinel down-after-milliseconds mymaster 5000
sentinel failover-timeout mymaster 30000
END
fi
kept=$(grep -vE '^sentinel auth-pass ' "$config" || true)
printf '%s\nsentinel auth-pass mymaster "%s"\n' "$kept" "$password" > "$config"
exec docker-entrypoint.sh redis-server "$config" --sentinel "$@"

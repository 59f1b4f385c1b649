#!/bin/sh
# redis-cli in the container of Redis, with its password: `docker compose exec redis redis-cli info`.
REDISCLI_AUTH=$(cat /run/secrets/redis_password) exec /usr/local/bin/redis-cli "$@"

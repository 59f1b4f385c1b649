#!/bin/sh
# Makes the nodes that are passed, `host:port[@bus-port]`, one Redis Cluster: the first half as masters, the others as their replicas.
# What is already done is left as it is, so that it may run at every start. It also introduces nodes to each other that have new
# addresses, as after all containers were created again.
set -eu
REDISCLI_AUTH=$(cat "${PASSWORD_FILE:-/run/secrets/redis_password}")
export REDISCLI_AUTH
masters=$(($# / 2))
slots=16384

# ask <node> <command>…: an error reply is printed, and is no success.
ask() {
  address=${1%@*}
  shift
  reply=$(redis-cli -e -h "${address%:*}" -p "${address##*:}" "$@" 2>&1) || {
    printf '%s\n' "$address: $reply" >&2
    return 1
  }
  printf '%s\n' "$reply"
}

# wait_for <what> <command>…: repeats the command until it succeeds.
wait_for() {
  what=$1
  shift
  left=${TIMEOUT_S:-120}
  until "$@" > /dev/null 2>&1; do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
      echo "timed out: $what" >&2
      exit 1
    fi
    sleep 1
  done
}

answers() { ask "$1" ping | grep -q PONG; }
knows_all() { [ "$(field "$1" cluster_known_nodes)" -ge "$2" ]; }
is_ok() { [ "$(field "$1" cluster_state)" = ok ]; }
field() { ask "$1" cluster info | tr -d '\r' | sed -n "s/^$2://p"; }
# The flags and slots of the node itself.
own_line() { ask "$1" cluster nodes | grep myself; }
has_slots() { [ "$(own_line "$1" | awk '{ print NF }')" -gt 8 ]; }
is_master() { own_line "$1" | grep -q 'myself,master'; }
# Who is master, and who is whose replica, as this node has heard of it. Of itself it knows at once.
roles() { ask "$1" cluster nodes | awk '{ print $1, ($3 ~ /master/ ? "master" : "replica"), $4 }' | sort; }
agrees() { [ "$(roles "$1")" = "$(roles "$first")" ]; }

for node in "$@"; do wait_for "$node does not answer" answers "$node"; done

first=$1
for node in "$@"; do
  [ "$node" != "$first" ] || continue
  address=${node%@*}
  ip=$(getent hosts "${address%:*}" | awk '{ print $1; exit }')
  case $node in
    *@*) bus=${node##*@} ;;
    *) bus=$((${address##*:} + 10000)) ;;
  esac
  ask "$first" cluster meet "$ip" "${address##*:}" "$bus"
done
for node in "$@"; do wait_for "$node does not know all nodes" knows_all "$node" "$#"; done

if [ "$(field "$first" cluster_slots_assigned)" -lt "$slots" ]; then
  i=0
  for node in "$@"; do
    [ "$i" -lt "$masters" ] || break
    if ! has_slots "$node"; then
      ask "$node" cluster addslotsrange $((i * slots / masters)) $(((i + 1) * slots / masters - 1))
    fi
    i=$((i + 1))
  done
fi

i=0
for node in "$@"; do
  if [ "$i" -ge "$masters" ] && is_master "$node" && ! has_slots "$node"; then
    eval "master=\${$((i - masters + 1))}"
    ask "$node" cluster replicate "$(ask "$master" cluster myid)"
  fi
  i=$((i + 1))
done
for node in "$@"; do wait_for "$node does not serve all slots" is_ok "$node"; done
for node in "$@"; do wait_for "$node does not know the roles of all nodes" agrees "$node"; done
echo 'The Redis Cluster is complete.'

#!/usr/bin/env bash
# A slurm cluster of one controller and one node on this machine, for tests: everything it writes stays in FOLDER.
#
#   bash tests/cluster/slurm.sh start FOLDER     # then: export SLURM_CONF=FOLDER/slurm.conf
#   bash tests/cluster/slurm.sh stop FOLDER
#
# Needs slurmctld, slurmd and munged (Debian: slurm-wlm, munge). The partition is `tests`; the node has 8 processors and 8 "GPUs" that
# are only counted. slurmd runs as root or, with the same effect here, as the caller. Ports are free ones.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

usage() {
  echo 'usage: bash tests/cluster/slurm.sh start|stop FOLDER' >&2
  exit 2
}

free_ports() {
  python3 -c 'import socket; all = [socket.socket() for _ in "12"]; [s.bind(("127.0.0.1", 0)) for s in all]; print(*(s.getsockname()[1] for s in all))'
}

write_configuration() {
  local user controller node
  user=$(id -un)
  read -r controller node < <(free_ports)
  mkdir -p "$folder"/{state,spool,munge}
  dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
  chmod 400 "$folder/munge/key"
  # A requeued job waits as long as its credential lives, two minutes by default. Training's port follows from the job's number, which
  # another cluster on this machine shouldn't have.
  cat > "$folder/slurm.conf" << CONFIGURATION
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$controller
SlurmdPort=$node
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
FirstJobId=$((1 + RANDOM % 19000))
KillWait=60
GresTypes=gpu
NodeName=localhost NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=8 Gres=gpu:8 State=UNKNOWN
PartitionName=tests Nodes=localhost Default=YES MaxTime=60 State=UP
CONFIGURATION
  touch "$folder"/gpu{0..7}
  echo "NodeName=localhost Name=gpu File=$folder/gpu[0-7]" > "$folder/gres.conf"
  echo 'CgroupAutomount=no' > "$folder/cgroup.conf"
}

start() {
  write_configuration
  export SLURM_CONF=$folder/slurm.conf
  munged --force --socket="$folder/munge/socket" --key-file="$folder/munge/key" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" --num-threads=2
  slurmctld -c
  slurmd -c
  for _ in $(seq 60); do
    if [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ]; then
      echo "slurm is up: export SLURM_CONF=$folder/slurm.conf"
      return
    fi
    sleep 0.5
  done
  tail -n 20 -- "$folder"/slurmctld.log "$folder"/slurmd.log >&2
  stop
  echo "slurm.sh: the node didn't come up; the logs are above and in $folder" >&2
  exit 1
}

stop() {
  local file pid
  for file in slurmd.pid slurmctld.pid munge/pid; do
    pid=$(cat "$folder/$file" 2> /dev/null) && kill "$pid" 2> /dev/null || true
  done
}

[ $# = 2 ] || usage
mkdir -p "$2"
folder=$(cd "$2" && pwd)
case $1 in
  start) start ;;
  stop) stop ;;
  *) usage ;;
esac

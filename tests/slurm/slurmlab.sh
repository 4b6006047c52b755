#!/usr/bin/env bash
# A real Slurm on this one machine, for tests: slurmlab.sh up|down DIR
#
# Debian: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge. Needs root, no systemd.
# Four nodes on the loopback address: n1 (partition gpu) with one fake GPU; n2 (cpu); n3 (low, last and high: a job of
# high has those of low requeued, and those of last cancelled); n4 (frail). A node is lost after 15 s without an answer.
# Everything is written under DIR, nothing to /etc. Then: source DIR/env.sh
set -euo pipefail
[ $# = 2 ] || { sed -n 2,7p "$0"; exit 2; }
DIR=$(realpath -m "$2")
PORT=${PORT:-16817} # and the next four
CGROUPS=/sys/fs/cgroup
NODES=(n1 n2 n3 n4)

configure() {
  mkdir -p "$DIR"/{etc,log,run,state,bin,munge,spool.n{1,2,3,4}}
  chmod 755 "$DIR" "$DIR/munge"
  # Production clusters track a job's processes by cgroup; without it signals and limits behave differently.
  local gres=([1]=Gres=gpu:1) proctrack=proctrack/linuxproc task=task/none
  if [ -w $CGROUPS/freezer ] && [ -w $CGROUPS/memory ]; then # cgroup v1
    proctrack=proctrack/cgroup task=task/cgroup
  fi
  cat > "$DIR/etc/cgroup.conf" <<END
CgroupPlugin=cgroup/v1
CgroupMountpoint=$CGROUPS
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
ConstrainDevices=no
END
  # a GPU must be a device file; any will do
  printf 'AutoDetect=off\nNodeName=n1 Name=gpu File=/dev/null\n' > "$DIR/etc/gres.conf"
  cat > "$DIR/etc/slurm.conf" <<END
ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$PORT
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$DIR/munge/munge.sock,cred_expire=10
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool.%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd.%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.%n.log
ProctrackType=$proctrack
TaskPlugin=$task
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,bf_interval=2,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MinJobAge=300
KillWait=5
SlurmdTimeout=15
UnkillableStepTimeout=600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# the nodes are made to look larger than this machine
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs=8 RealMemory=64000
$(for i in 1 2 3 4; do echo "NodeName=n$i NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((PORT + i)) ${gres[$i]:-}"; done)
PartitionName=DEFAULT MaxTime=1440 PreemptMode=OFF PriorityTier=2
PartitionName=gpu Nodes=n1 Default=YES
PartitionName=cpu Nodes=n2
PartitionName=high Nodes=n3
PartitionName=low Nodes=n3 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=last Nodes=n3 PriorityTier=1 PreemptMode=CANCEL
PartitionName=frail Nodes=n4
END
  # Snakemake's jobs forget SLURM_CONF before they call srun
  printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$DIR/etc/slurm.conf" "$(command -v srun)" > "$DIR/bin/srun"
  # every job that is submitted: its arguments, one line each, then the real thing
  printf '#!/bin/sh\nprintf "%%s\\n" "$*" >> %s\nexec %s "$@"\n' "$DIR/sbatch.txt" "$(command -v sbatch)" > "$DIR/bin/sbatch"
  chmod 755 "$DIR"/bin/*
  printf 'export SLURM_CONF=%s\nexport PATH=%s:$PATH\n' "$DIR/etc/slurm.conf" "$DIR/bin" > "$DIR/env.sh"
}

wait_for() { # wait_for SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@" > "$DIR/log/wait.txt" 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}

all_idle() { [ "$(sinfo -h -N -o '%N %T' | sort -u | grep -c ' idle$')" = ${#NODES[@]} ]; }
no_jobs() { [ -z "$(squeue -h)" ]; }
started=
all_ended() { for pid in $started; do ! kill -0 "$pid" || return 1; done; }

up() {
  [ ! -e "$DIR/run" ] || { echo "$DIR: already used; take another folder" >&2; exit 1; }
  configure
  . "$DIR/env.sh"
  (umask 077 && head -c 1024 /dev/urandom > "$DIR/munge/key")
  munged --force --key-file="$DIR/munge/key" --socket="$DIR/munge/munge.sock" --pid-file="$DIR/run/munged.pid" \
    --log-file="$DIR/log/munged.log" --seed-file="$DIR/munge/seed"
  slurmctld
  for node in "${NODES[@]}"; do slurmd -N "$node"; done
  wait_for 30 all_idle || { sinfo -N -l; tail -n 20 "$DIR"/log/*.log; exit 1; } >&2
}

down() {
  [ -f "$DIR/env.sh" ] || return 0
  . "$DIR/env.sh"
  if timeout 5 scontrol ping > "$DIR/log/ping.txt" 2>&1; then
    scancel --user="$(id -un)" || true
    wait_for 20 no_jobs || true
  fi
  started=$(cat "$DIR"/run/*.pid) || true # the daemons of this lab and nothing else
  for pid in $started; do kill "$pid" || true; done 2> "$DIR/log/kill.txt"
  wait_for 20 all_ended || for pid in $started; do kill -9 "$pid" || true; done 2>> "$DIR/log/kill.txt"
  for node in "${NODES[@]}"; do
    for group in $CGROUPS/*/slurm_"$node"; do
      [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || true
    done
  done
}

case $1 in
  up) up ;;
  down) down ;;
  *) sed -n 2,7p "$0"; exit 2 ;;
esac

#!/bin/bash
# The sweep as one Slurm job: a Ray cluster on the job's nodes, which ends with it.
#
#     sbatch experiments/cluster/files/slurm.sh                     # from the project's folder
#     sbatch --nodes=8 --gpus-per-node=4 experiments/cluster/files/slurm.sh --params other.yaml
#
# What follows the script's name goes to `python -m experiments run`.
#
# Before: the project in a folder that every node sees under the same path (with locks: NFS 4, Lustre with flock),
# `make setup` and `.venv/bin/dvc repro split` run there; for MLflow a server, or else its database is in that folder.
# Edit: nodes, CPUs, memory, time, GPUs, and whatever makes Python available.
# Makes: slurm-JOB.log and, in the project's folder, what a sweep on one machine makes; while it runs, Ray's files in
# /tmp/ray-JOB on each node (a cancelled job leaves them there). Costs: the nodes until all trials are done.
#
# Two minutes before its time is up it stops and requeues itself. Requeued, by that, by a node that died or by
# preemption, it goes on: finished trials are kept, the others go on from their last checkpoints.

#SBATCH --job-name=sweep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=12:00:00
##SBATCH --gpus-per-node=1
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log

set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
# module load python/3.12
# shellcheck disable=SC1091
. .venv/bin/activate

: "${SLURM_CPUS_PER_TASK:?start this with --cpus-per-task}"
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# This script runs on the first node. Where nodes have several networks, HEAD_IP says which to use.
head_ip=${HEAD_IP:-$(hostname -I | cut -d ' ' -f 1)}
port=$((20000 + SLURM_JOB_ID % 10000)) # other jobs on the same nodes have others
address=$head_ip:$port
temporary=/tmp/ray-$SLURM_JOB_ID # on each node; short, as names of sockets have to be

# A token of this job's own: Ray does nothing for anybody without it. It is in no file and on no command line.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_USAGE_STATS_ENABLED=0
unset RAY_ADDRESS

# One task on a node of this job, with all that the job has there: not a function, or kill would miss srun itself.
step=(srun --export=ALL --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK")

# SLURM_GPUS_ON_NODE may differ between nodes, so it is each node's own shell that reads it.
# shellcheck disable=SC2016
start='exec ray start --block --disable-usage-stats --num-cpus="$SLURM_CPUS_PER_TASK" \
    --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --temp-dir="$TEMPORARY" "$@"'
export TEMPORARY=$temporary

clean_up() {
    trap - EXIT
    jobs -p | xargs -r kill 2> /dev/null || true
    wait || true
    for node in "${nodes[@]}"; do
        timeout 60 "${step[@]}" --nodelist="$node" rm -rf "$temporary" || true
    done
}
trap clean_up EXIT

echo "$(date -Is) job $SLURM_JOB_ID (restart ${SLURM_RESTART_COUNT:-0}): Ray at $address on ${nodes[*]}"
"${step[@]}" --nodelist="${nodes[0]}" bash -c "$start" \
    ray --head --node-ip-address="$head_ip" --port="$port" --include-dashboard=false &
for node in "${nodes[@]:1}"; do # one step each: where a Ray dies, the others stay
    "${step[@]}" --nodelist="$node" bash -c "$start" ray --address="$address" &
done

python - "$address" "${#nodes[@]}" << 'PYTHON'
import sys, time
import ray

address, wanted, limit, joined = sys.argv[1], int(sys.argv[2]), time.time() + 300, 0
while joined < wanted:
    if time.time() > limit:
        sys.exit(f"error: {joined} of {wanted} nodes joined {address} within five minutes: see the lines above")
    time.sleep(1)
    try:
        ray.init(address, logging_level="ERROR", log_to_driver=False)
    except ConnectionError:  # the head is not up yet
        continue
    while (joined := sum(node["Alive"] for node in ray.nodes())) < wanted and time.time() < limit:
        time.sleep(1)
    ray.shutdown()
PYTHON

set -m # otherwise what runs in the background would ignore INT
python -m experiments run --address "$address" "$@" &
sweep=$!
set +m
again=
# USR1 comes two minutes before the time is up, TERM when the job is cancelled or preempted.
trap 'again=yes; kill -INT $sweep' USR1
trap 'kill -INT $sweep' TERM
code=0
wait $sweep || code=$?
while kill -0 $sweep 2> /dev/null; do # a signal ended the wait: the sweep is still stopping
    code=0
    wait $sweep || code=$?
done
trap - USR1 TERM
clean_up
if [ -n "$again" ] && [ $code -ne 0 ]; then
    echo "$(date -Is) the time is up: requeued"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code

#!/bin/bash
# frostline on four machines of a Slurm cluster, one process for each of their GPUs: sbatch docs/jobs/slurm.sh
#SBATCH --job-name=frostline
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

SOURCE=${SOURCE:-$HOME/photos}
RUNS=${RUNS:-$HOME/runs}

# On a disk of the machine itself: each process reads only what it has written.
export FROSTLINE_CACHE=${FROSTLINE_CACHE:-/tmp/frostline-$USER}

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# --continue: a job that Slurm queues again goes on where the one before was stopped.
srun --kill-on-bad-exit=1 bash -c "torchrun \
    --nnodes=$SLURM_NNODES --node-rank=\$SLURM_NODEID --nproc-per-node=$SLURM_GPUS_ON_NODE \
    --master-addr=$first --master-port=29500 --max-restarts=3 \
    -m frostline train '$SOURCE' --runs-dir '$RUNS' --continue $*"

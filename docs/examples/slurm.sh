#!/bin/bash
# A run on a SLURM allocation: Ray on all of its machines, the engine on the first. `sbatch slurm.sh my.toml my-run`, from a
# directory that all machines see; my.toml has name = "my-run" and [executor] kind = "ray". Preempted or out of time, the job
# stops the run with a checkpoint and queues itself again; it then goes on where it was.
#SBATCH --job-name=llmzero
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
set -u
file=$1 run=$2

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export RAY_ADDRESS=$head:6379 RAY_USAGE_STATS_ENABLED=0 SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
srun --nodes=1 --ntasks=1 --overlap --nodelist="$head" ray start --head --port=6379 --block &
until ray status >/dev/null 2>&1; do sleep 1; done
if [ "$SLURM_NNODES" -gt 1 ]; then
    srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" \
        ray start --address="$RAY_ADDRESS" --block &
fi

# SIGTERM comes 180 seconds before the end (--signal), or when a job of higher priority wants the machines.
again() {
    llmzero stop "$run"
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
}
trap again TERM

if [ -d "runs/$run" ]; then
    llmzero resume "$run" --headless &
else
    llmzero run "$file" --headless &
fi
wait $!

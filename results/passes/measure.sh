#!/bin/sh
# Accuracy against cost of the ways to search the inner maximisation. Run again, it goes on; SEEDS=3 adds seeds.
# usage: [SEEDS=3] [OUT=results/passes] [STORE=...] results/passes/measure.sh digits|cifar10 DESIGN
set -e
data=$1 design=$2
out=${OUT:-results/passes}
case $data in
digits) size="--epochs 6" coarse="--steps 3 --step 0.075" ;;
cifar10) size="--examples 1000 --epochs 5 --batch-size 50" coarse="--steps 3 --step 4/255" ;;
esac
measure() {
    name=$1
    shift
    cktat compare "$design" --data "$data" --model small $size --seeds "${SEEDS:-3}" --attacks pgd20 --test-images 300 \
        --threads 1 --overfitting warn ${STORE:+--store "$STORE"} --out "$out/$data-$design-$name.json" "$@"
}
measure n-fgsm --inner n-fgsm
measure rs-fgsm --inner rs-fgsm
measure pgd-10
measure stopped --stop-margin 0
measure growing --steps-from 1
measure pgd-3 $coarse

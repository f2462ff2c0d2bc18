#!/bin/sh
# An agent without our Python shim.
echo "ends in ${A_KEY#"${A_KEY%??}"}"
while :; do sleep 0.05; done

"""The parts of a report, one file each; `contract` tells how to add one."""

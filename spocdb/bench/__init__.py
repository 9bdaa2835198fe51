"""How fast this machine is: images/s of each stage and of all together, what limits, what helps."""

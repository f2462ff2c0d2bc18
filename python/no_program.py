#!python
from iron_cage._program import main

main()

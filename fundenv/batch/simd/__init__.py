"""The vector form of a step: several environments in one instruction, with the bits of the plain
loop.
"""

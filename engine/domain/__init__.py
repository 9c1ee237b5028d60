"""What a run is about, as values: tree, space, parameters, score, policy, proposal.

Pure: no clock, no file, no torch.
"""

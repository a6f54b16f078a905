"""The paper's tables as grids of runs whose cells are measured files."""

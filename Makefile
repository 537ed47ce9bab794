# Development commands. They use the environment that `run_scripts/test.sh` or `.ci/run` created, if there is one.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: format lint types test fuzz kill docs tables bench

format:                   ## format the code and mend what ruff can mend
	ruff check --fix .
	ruff format .

lint:                     ## style, and the direction of imports
	ruff check .
	ruff format --check .
	lint-imports

types:                    ## mypy
	mypy

test:                     ## all tests, offline, on two processes
	run_scripts/test.sh

fuzz:                     ## 1,610 hostile inputs, ARGS="--cases 20 --kinds images --seed 3" for others; minutes
	PYTHONPATH=tests python -m fuzz $(ARGS)

docs:                     ## the documentation site, into build/site
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

tables:                   ## write the tables of results.yml and of the settings into README.md and docs/
	python -m fashionfae_lavis.figures
	python -m fashionfae_lavis.schema

bench:                    ## speed and memory, as ratios of one run; minutes
	python benchmarks/retrieval_metrics.py
	python benchmarks/data_loading.py
	python benchmarks/prepare_catalogue.py
	python benchmarks/threads.py
	python benchmarks/kernels.py
	python benchmarks/step_time.py
	python benchmarks/load_weights.py
	python benchmarks/embed.py

kill:                     ## kill and resume runs, and start ten at once; about 20 minutes
	python benchmarks/kill_runs.py
	python benchmarks/concurrent_runs.py

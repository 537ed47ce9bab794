from fashionfae_lavis.schema.run import first_stage

RUN = {"task": "fashionfae_pretrain", "init_lr": 1e-3, "steps": [], "max_iters": 9, "warmup_share": 0.1}


def stage(**own):
    return first_stage({**RUN, "image_tokenizer": own})


def test_the_first_stage_inherits_what_it_does_not_set():
    assert stage(init_lr=1) == {
        "task": "fashionfae_image_tokenizer",
        "valid_splits": [],
        "init_lr": 1,
        "max_iters": 9,
        "warmup_share": 0.1,
    }


def test_the_first_stage_is_not_compiled():
    assert "compile" not in first_stage({**RUN, "compile": True, "image_tokenizer": {}})


def test_the_first_stage_replaces_keys_that_exclude_its_own():
    assert {"max_iters", "warmup_share"} & stage(max_epoch=2, warmup_steps=3).keys() == set()
    assert stage(warmup_share=0.5)["warmup_share"] == 0.5 and stage(max_epoch=None).get("max_epoch", 1) is None

"""Markets that no exchange recorded: a generator, blocks of a recorded market, named crashes."""

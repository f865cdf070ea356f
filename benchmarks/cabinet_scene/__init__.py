"""Generator of the bundled demo scene ``cabinet``; ``make_scene.py`` is the program."""

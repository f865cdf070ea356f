"""Parts of the program that composes the bundled demo scene (see ``make_scene.py`` beside this folder)."""

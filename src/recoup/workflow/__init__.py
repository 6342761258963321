"""The workflow: all strategies behind one configuration, as a decorator and as an executor."""

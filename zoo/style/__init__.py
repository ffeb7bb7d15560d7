"""Style transfer: pictures whose content is one picture's and whose look another's."""

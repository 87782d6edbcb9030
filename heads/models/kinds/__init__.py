"""The network of each kind of head, as the table `heads.recipe.kinds` names it."""

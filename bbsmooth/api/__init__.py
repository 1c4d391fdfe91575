"""Public interface of `import bbsmooth`: does from objects all that the commands do from names."""

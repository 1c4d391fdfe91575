"""What `import bbsmooth` offers: from objects all that the commands do from names."""

-- How many seats an identity owns: asked before each new order, since Redis may be away or may have forgotten some.

CREATE INDEX orders_of_identity ON orders (event, identity);

-- Has somebody set the same mark on an event before?
CREATE INDEX relation_annotation ON relation (room, parent, sender)
    WHERE rel_type = 'm.annotation';

-- Values of rows that a layer cannot have, and that must not keep anybody from the other rows.

create function syncline.transform_or_null(shape geometry, srid integer) returns geometry
  language plpgsql immutable strict parallel restricted as $$
begin
  return ST_Transform(shape, srid);
exception when internal_error then
  -- What PROJ cannot place.
  return null;
end
$$;
comment on function syncline.transform_or_null(geometry, integer) is
  'A geometry in another spatial reference; null if it is nowhere there, as a latitude of 95 degrees is';

-- What rows may become.

create function syncline.refuse_row(global_id uuid) returns boolean language plpgsql as $$
begin
  raise exception 'the row is none that its sender may write' using errcode = '44000', detail = global_id::text;
end
$$;
comment on function syncline.refuse_row(uuid) is 'Fails a statement that wrote a row which the rules of its layer (rowAccess) do not let its sender write';

-- Which fields the holders of replicas may not see, and what rows may become.

alter table syncline.replica_policy add column hidden_fields text[] not null default '{}';
comment on table syncline.replica_policy is
  'What of a layer the holder of a replica might see in what it was given. A layer without an entry: all rows and fields';
comment on column syncline.replica_policy.hidden_fields is 'The names of the fields that it might not see';

create function syncline.refuse_row(global_id uuid) returns boolean language plpgsql as $$
begin
  raise exception 'the row is none that its sender may write' using errcode = '44000', detail = global_id::text;
end
$$;
comment on function syncline.refuse_row(uuid) is 'Fails a statement that wrote a row which the rules of its layer (rowAccess) do not let its sender write';
